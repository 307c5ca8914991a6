"""The ledger of record: accounts, lots, holds and postings."""
