"""A local stand-in for TikTok's login, posting and display APIs, run as ``python -m sandbox``.

It is a process of its own: the product never imports it, and it imports nothing of the product.
"""
