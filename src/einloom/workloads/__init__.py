"""What is computed: Einsums, cascades of them, their graph, and their meaning in numpy."""
