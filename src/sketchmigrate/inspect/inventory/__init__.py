"""S3 Inventory: lists of a bucket's objects that S3 writes once a day or week, read instead of listing a side."""
