"""Hostile calls of the commands, and kills: a documented exit code, one line, and no file changed but the outputs.

python -m tests.fuzz.commands.fuzz --calls 20000
python -m tests.fuzz.commands.kills --kills 200
"""
