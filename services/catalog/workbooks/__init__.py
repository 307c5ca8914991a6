"""The workbook: the spreadsheet in which marketing staff plan a campaign, read, checked, kept and written again (C6)."""
