"""The sandbox's gateway for messages: takes what the bank would send to telephones, and shows it to whoever tries it out."""
