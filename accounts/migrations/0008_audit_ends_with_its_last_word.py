from django.db import migrations, models

# The events of a workspace go only once an event says that the workspace is removed, which itself never goes: who takes
# the workspace's row away for a moment leaves that behind. The function looks with a scope of its own, for a statement
# can change the scope in its own middle, and a workspace that is out of sight is not gone.
ENDS_WITH_LAST_WORD = """
CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    scope text := coalesce(current_setting('app.scope', true), '');
    is_over boolean;
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM set_config('app.scope', '||audit', true);
        is_over := OLD.action <> 'workspace.removed'
            AND EXISTS (SELECT FROM accounts_auditevent
                        WHERE workspace_id = OLD.workspace_id AND action = 'workspace.removed')
            AND NOT EXISTS (SELECT FROM accounts_workspace WHERE id = OLD.workspace_id);
        PERFORM set_config('app.scope', scope, true);
        IF is_over THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
"""
ENDS_WITH_WORKSPACE = """
CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.workspace_id IS NOT NULL AND OLD.action <> 'workspace.removed'
           AND NOT EXISTS (SELECT FROM accounts_workspace WHERE id = OLD.workspace_id) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_audit_ends_with_workspace")]

    operations = [
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(
                condition=models.Q(("action", "workspace.removed")),
                fields=["workspace_id"],
                name="audit_last_words",
            ),
        ),
        migrations.RunSQL(ENDS_WITH_LAST_WORD, ENDS_WITH_WORKSPACE),
    ]
