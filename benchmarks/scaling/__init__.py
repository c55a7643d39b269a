"""What bounds a run of 10^8 objects and more: arithmetic with measured and published figures, and its picture."""
