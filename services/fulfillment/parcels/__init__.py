"""Parcels: what a redemption hands out by courier or at a branch, from its acceptance to its end (F1, F2).

A redemption has at most one parcel a way of delivery, and whether it can still be cancelled is decided in the parcel's own row.
Every change goes through `changes.Changing.apply`: it locks, follows an arrow, writes the timeline and the audit row, tells the
header, asks for the report to redemption and for the customer's notice, all in the commit of whoever calls it.
"""
