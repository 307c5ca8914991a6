"""Fulfillment's tables are collected here; the migrations must agree with them down to every constraint."""

from shared.audit import define_audit
from shared.database import new_metadata
from shared.tasks import define_tasks

metadata = new_metadata()
task_tables = define_tasks(metadata)
audit_entries = define_audit(metadata)
