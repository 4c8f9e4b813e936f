"""What computes it: memories, fanouts, computes, timing laws, component library, templates and their registry."""
