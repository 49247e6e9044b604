"""What an evaluation leaves behind: a folder of results, tables, maps and a report; and two such folders as one."""
