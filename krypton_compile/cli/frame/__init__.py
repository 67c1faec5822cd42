"""What every command shares: how it begins and ends, and how it speaks."""
