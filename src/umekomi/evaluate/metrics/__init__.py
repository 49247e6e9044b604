"""What vectors are worth on a task: pure arithmetic on arrays, item by item, with no model and no file in sight."""
