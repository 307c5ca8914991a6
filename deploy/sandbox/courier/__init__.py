"""The sandbox's courier: takes parcels, plays their way to the door, and tells of it by signed webhooks."""
