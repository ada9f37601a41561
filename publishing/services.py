"""What people and programs may do with posts: the use cases behind pages, admin, command line and API."""
