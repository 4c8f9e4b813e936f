"""`einloom new template NAME`: a complete package with a template that works, to be changed into one's own machine.

The files are rendered from texts in ``files/`` with `string.Template`; nothing of them is imported here.
"""

from einloom.scaffold.package import new_template

__all__ = ["new_template"]
