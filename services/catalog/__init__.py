"""The catalog: campaigns, rewards, offers, stock, quotas, budgets and merchants; it calls nobody."""
