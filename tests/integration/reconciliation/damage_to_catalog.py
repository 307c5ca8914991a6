"""Damage to the catalog's books: stock, quotas, budgets, reservations, and what came back of them."""

from tests.integration.reconciliation.damage import damage

DAMAGES = [
    damage(
        "a unit of stock without its movement",
        "catalog",
        "UPDATE stock_batches SET received = received + 1 WHERE id = '{batch}'",
        found={"batch-movements": "{campaign}/B1"},
    ),
    damage(
        "a received movement deleted",
        "catalog",
        "DELETE FROM stock_movements WHERE batch_id = '{batch}' AND kind = 'received'",
        found={"batch-movements": "{campaign}/B1"},
    ),
    damage(
        "a quota drifted",
        "catalog",
        "UPDATE quotas SET total_taken = total_taken + 1 WHERE offer_id = '{offer}'",
        found={"quota": "{offer}"},
    ),
    damage(
        "a quota's day drifted",
        "catalog",
        "UPDATE quotas SET day_taken = day_taken - 1 WHERE offer_id = '{offer}'",
        found={"quota": "{offer}"},
    ),
    damage(
        "a budget drifted",
        "catalog",
        "UPDATE budget_lines SET committed_minor = committed_minor + 1",
        found={"budget": "{campaign}/{budget}"},
    ),
    damage(
        "a held movement deleted",
        "catalog",
        "DELETE FROM stock_movements WHERE reservation_id = '{confirmed}'",
        found={"batch-movements": "{campaign}/B1", "draw-movements": "{confirmed}"},
    ),
    damage(
        "what a reservation drew deleted",
        "catalog",
        "DELETE FROM reservation_draws WHERE reservation_id = '{confirmed}'",
        found={"batch-draws": "{campaign}/B1", "draw-movements": "{confirmed}", "line-draws": "{confirmed}"},
    ),
    damage(
        "a reservation's line deleted",
        "catalog",
        "DELETE FROM reservation_lines WHERE reservation_id = '{confirmed}'",
        found={"header-lines": "{confirmed}", "quota": "{offer}", "budget": "{campaign}/{budget}"},
    ),
    # What came back.
    damage(
        "a document made to give places back",
        "catalog",
        "UPDATE reservation_returns SET gives_back = 'stock_and_places' WHERE reservation_id = '{came_back}'",
        found={"line-returns": "{came_back}"},
    ),
    damage(
        "a document made to give nothing back",
        "catalog",
        "UPDATE reservation_returns SET gives_back = 'nothing' WHERE reservation_id = '{came_back}'",
        found={"line-draw-returns": "{came_back}"},
    ),
    damage(
        "a movement of what came back moved to another line",
        "catalog",
        "UPDATE stock_movements SET line = 9 WHERE reservation_id = '{came_back}' AND kind = 'returned'",
        found={"draw-returns": "{came_back}"},
    ),
    damage(
        "a movement of what came back deleted",
        "catalog",
        "DELETE FROM stock_movements WHERE reservation_id = '{came_back}' AND kind = 'returned'",
        found={"draw-returns": "{came_back}", "batch-movements": "{campaign}/B3"},
    ),
    damage(
        "a document of what came back deleted",
        "catalog",
        "DELETE FROM reservation_return_lines WHERE reservation_id = '{came_back}'",
        "DELETE FROM reservation_returns WHERE reservation_id = '{came_back}'",
        found={"line-returns": "{came_back}", "line-draw-returns": "{came_back}"},
    ),
    damage(
        "a line made to have had nothing come back",
        "catalog",
        "UPDATE reservation_lines SET returned = 0 WHERE reservation_id = '{came_back}'",
        found={"line-returns": "{came_back}", "line-draw-returns": "{came_back}", "returns-differ": "{came_back}"},
    ),
]
