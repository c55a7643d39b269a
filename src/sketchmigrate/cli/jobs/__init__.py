"""What carries the commands out, each in a file named as the one in ``commands`` that imports it."""
