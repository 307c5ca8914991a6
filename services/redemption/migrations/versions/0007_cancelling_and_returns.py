"""Redemptions that are delivered, cancelled and returned, and the documents by which points go back."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

GRANTS = {
    "returns": "SELECT, INSERT, UPDATE (state, decided_at)",
    "return_lines": "SELECT, INSERT",
}
APPEND_ONLY = ("return_lines",)

# The arrows of redemptions/domain.py once more, where no code can pass them by.
GUARD_ARROWS = """
CREATE OR REPLACE FUNCTION guard_redemption() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN
        (('accepted', 'confirmed'), ('accepted', 'declined'), ('accepted', 'cancelled'),
         ('confirmed', 'fulfilled'), ('confirmed', 'delivering'), ('confirmed', 'returned'), ('confirmed', 'cancelled'),
         ('confirmed', 'cancelling'), ('delivering', 'fulfilled'), ('delivering', 'returned'), ('delivering', 'cancelled'),
         ('delivering', 'cancelling'), ('cancelling', 'cancelled'), ('cancelling', 'delivering'), ('cancelling', 'fulfilled'),
         ('cancelling', 'returned')) THEN
        RAISE EXCEPTION 'a redemption does not go from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF (NEW.id, NEW.customer_id, NEW.account_id, NEW.campaign, NEW.mode, NEW.price_points, NEW.accepted_on) IS DISTINCT FROM
       (OLD.id, OLD.customer_id, OLD.account_id, OLD.campaign, OLD.mode, OLD.price_points, OLD.accepted_on) THEN
        RAISE EXCEPTION 'what was redeemed does not change' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
ARROWS_BEFORE = """
CREATE OR REPLACE FUNCTION guard_redemption() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN
        (('accepted', 'confirmed'), ('accepted', 'declined'), ('confirmed', 'fulfilled')) THEN
        RAISE EXCEPTION 'a redemption does not go from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF (NEW.id, NEW.customer_id, NEW.account_id, NEW.campaign, NEW.mode, NEW.price_points, NEW.accepted_on) IS DISTINCT FROM
       (OLD.id, OLD.customer_id, OLD.account_id, OLD.campaign, OLD.mode, OLD.price_points, OLD.accepted_on) THEN
        RAISE EXCEPTION 'what was redeemed does not change' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
# A hold ends once. Of what was posted more and more may be given back, never less.
GUARD_HOLDS = """
CREATE OR REPLACE FUNCTION guard_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.redemption_id, NEW.lot_id, NEW.account_id, NEW.points) IS DISTINCT FROM
       (OLD.redemption_id, OLD.lot_id, OLD.account_id, OLD.points) OR NOT (
        (OLD.state = 'held' AND NEW.refunded = OLD.refunded) OR
        (OLD.state = 'posted' AND NEW.state = 'posted' AND NEW.refunded > OLD.refunded)) THEN
        RAISE EXCEPTION 'a hold ends once and is never changed' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
HOLDS_BEFORE = """
CREATE OR REPLACE FUNCTION guard_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'held' OR (NEW.redemption_id, NEW.lot_id, NEW.account_id, NEW.points) IS DISTINCT FROM
       (OLD.redemption_id, OLD.lot_id, OLD.account_id, OLD.points) THEN
        RAISE EXCEPTION 'a hold ends once and is never changed' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
GUARD_RETURNS = """
CREATE FUNCTION guard_return() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'requested' OR (NEW.id, NEW.redemption_id, NEW.kind, NEW.reason, NEW.actor, NEW.channel, NEW.requested_at)
       IS DISTINCT FROM (OLD.id, OLD.redemption_id, OLD.kind, OLD.reason, OLD.actor, OLD.channel, OLD.requested_at) THEN
        RAISE EXCEPTION 'a return is decided once and is never changed' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
# A line comes back once and at its price.
GUARD_RETURN_LINES = """
CREATE FUNCTION guard_return_line() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    line redemption_lines;
    returned bigint;
BEGIN
    SELECT * INTO line FROM redemption_lines WHERE redemption_id = NEW.redemption_id AND number = NEW.number;
    SELECT coalesce(sum(quantity), 0) INTO returned FROM return_lines
     WHERE redemption_id = NEW.redemption_id AND number = NEW.number;
    IF returned + NEW.quantity > line.quantity OR NEW.points <> NEW.quantity * line.unit_points THEN
        RAISE EXCEPTION 'more would come back than was redeemed' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
STATES = "'accepted', 'confirmed', 'delivering', 'fulfilled', 'declined', 'cancelling', 'cancelled', 'returned'"
STATES_BEFORE = "'accepted', 'confirmed', 'fulfilled', 'declined'"
KINDS = "'opening', 'earned', 'redeemed', 'expired', 'grace', 'refunded'"
KINDS_BEFORE = "'opening', 'earned', 'redeemed', 'expired', 'grace'"
LIVE, LIVE_BEFORE = "'accepted', 'confirmed', 'delivering', 'cancelling'", "'accepted', 'confirmed'"


def upgrade() -> None:
    _replace_checks(STATES, KINDS, LIVE)
    op.execute(GUARD_ARROWS)
    op.add_column("holds", sa.Column("refunded", sa.BigInteger(), server_default="0", nullable=False))
    op.create_check_constraint(op.f("ck_holds_refund_bounded"), "holds", "0 <= refunded AND refunded <= points")
    op.create_check_constraint(op.f("ck_holds_refund_of_what_was_posted"), "holds", "refunded = 0 OR state = 'posted'")
    op.execute(GUARD_HOLDS)
    _create_returns()
    _create_return_lines()
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON return_lines "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO redemption_service")


def _create_returns() -> None:
    op.create_table(
        "returns",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind IN ('cancellation', 'not_collected', 'came_back', 'lost')", name=op.f("ck_returns_kind_known")
        ),
        sa.CheckConstraint("state IN ('requested', 'refunded', 'refused')", name=op.f("ck_returns_state_known")),
        sa.CheckConstraint(
            "kind = 'cancellation' OR state = 'refunded'", name=op.f("ck_returns_only_cancellations_are_asked_for")
        ),
        sa.CheckConstraint("(state = 'requested') = (decided_at IS NULL)", name=op.f("ck_returns_decided_when_it_is")),
        sa.CheckConstraint("length(reason) <= 200", name=op.f("ck_returns_reason_short")),
        sa.ForeignKeyConstraint(["redemption_id"], ["redemptions.id"], name=op.f("fk_returns_redemption_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_returns")),
        sa.UniqueConstraint("id", "redemption_id", name="uq_returns_of_redemption"),
    )
    op.create_index("ix_returns_redemption", "returns", ["redemption_id"])
    op.create_index(
        "uq_returns_requested", "returns", ["redemption_id"], unique=True, postgresql_where=sa.text("state = 'requested'")
    )
    op.execute(GUARD_RETURNS)
    op.execute("CREATE TRIGGER guard_return BEFORE UPDATE ON returns FOR EACH ROW EXECUTE FUNCTION guard_return()")


def _create_return_lines() -> None:
    op.create_table(
        "return_lines",
        sa.Column("return_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_return_lines_quantity_positive")),
        sa.CheckConstraint("points > 0", name=op.f("ck_return_lines_points_positive")),
        sa.ForeignKeyConstraint(
            ["return_id", "redemption_id"], ["returns.id", "returns.redemption_id"], name="fk_return_lines_return"
        ),
        sa.ForeignKeyConstraint(
            ["redemption_id", "number"],
            ["redemption_lines.redemption_id", "redemption_lines.number"],
            name="fk_return_lines_line",
        ),
        sa.PrimaryKeyConstraint("return_id", "number", name=op.f("pk_return_lines")),
    )
    op.create_index("ix_return_lines_line", "return_lines", ["redemption_id", "number"])
    op.execute(GUARD_RETURN_LINES)
    op.execute(
        "CREATE TRIGGER guard_return_line BEFORE INSERT ON return_lines FOR EACH ROW EXECUTE FUNCTION guard_return_line()"
    )


def _replace_checks(states: str, kinds: str, live: str) -> None:
    op.drop_constraint(op.f("ck_redemptions_state_known"), "redemptions")
    op.create_check_constraint(op.f("ck_redemptions_state_known"), "redemptions", f"state IN ({states})")
    op.drop_constraint(op.f("ck_postings_kind_known"), "postings")
    op.create_check_constraint(op.f("ck_postings_kind_known"), "postings", f"kind IN ({kinds})")
    op.drop_index("ix_redemptions_live", "redemptions")
    op.create_index("ix_redemptions_live", "redemptions", ["id"], postgresql_where=sa.text(f"state IN ({live})"))


def downgrade() -> None:
    op.drop_table("return_lines")
    op.execute("DROP FUNCTION guard_return_line")
    op.drop_table("returns")
    op.execute("DROP FUNCTION guard_return")
    op.execute(HOLDS_BEFORE)
    op.drop_column("holds", "refunded")
    op.execute(ARROWS_BEFORE)
    _replace_checks(STATES_BEFORE, KINDS_BEFORE, LIVE_BEFORE)
