"""Pages: one HTML file each, with its style and its script in it, and nothing from outside.

What stands on a page is plain data (blocks.py); templates/ says how it looks. Whatever a user wrote is escaped there.
"""

from __future__ import annotations
