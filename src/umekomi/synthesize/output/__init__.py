"""What a synthesis leaves behind: splits for training, folders for evaluation, tables for people, a report."""
