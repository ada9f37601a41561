"""Signing in with an account of a platform. It says who somebody is; it connects nothing and keeps no token."""
