"""Versions of campaigns: loaded from a workbook, exported again, put in force."""
