"""The commands krypton-compile, krypton-explain and krypton-tune; nothing else knows argparse."""
