"""The two doors between the package and a user's files: read.py and write.py; nothing else opens what a user names."""
