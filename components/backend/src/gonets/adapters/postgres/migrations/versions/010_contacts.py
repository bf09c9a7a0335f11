"""What is known of contacts, by what they are found; saved audiences; questions about phones."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "010"
down_revision = "009"
branch_labels = None
depends_on = None

# One row for each tag of a contact, in the order of lists: whoever writes contacts, by whatever statement, keeps them
# in step in the same transaction.
_FUNCTIONS = (
    """
    CREATE FUNCTION contact_tag_insert() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO contact_tag (owner_id, tag, contact_id)
        SELECT owner_id, tag, id FROM new_rows, unnest(tags) tag ON CONFLICT DO NOTHING;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE FUNCTION contact_tag_update() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM contact_tag t USING old_rows o JOIN new_rows n USING (id), unnest(o.tags) old_tag
        WHERE o.tags IS DISTINCT FROM n.tags AND old_tag <> ALL (n.tags)
          AND (t.owner_id, t.tag, t.contact_id) = (o.owner_id, old_tag, o.id);
        INSERT INTO contact_tag (owner_id, tag, contact_id)
        SELECT n.owner_id, new_tag, n.id FROM new_rows n JOIN old_rows o USING (id), unnest(n.tags) new_tag
        WHERE o.tags IS DISTINCT FROM n.tags AND new_tag <> ALL (o.tags) ON CONFLICT DO NOTHING;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE FUNCTION contact_tag_delete() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM contact_tag t USING old_rows o, unnest(o.tags) old_tag
        WHERE (t.owner_id, t.tag, t.contact_id) = (o.owner_id, old_tag, o.id);
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER contact_tag_insert AFTER INSERT ON contact
        REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION contact_tag_insert()
    """,
    """
    CREATE TRIGGER contact_tag_update AFTER UPDATE ON contact
        REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION contact_tag_update()
    """,
    """
    CREATE TRIGGER contact_tag_delete AFTER DELETE ON contact
        REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION contact_tag_delete()
    """,
)

# Of contacts with one phone, or one e-mail address, the first keeps it; the others have it among their attributes.
_REPEATED = """
UPDATE contact SET {column} = NULL, attributes = attributes || jsonb_build_object('{column}', {column}) FROM (
    SELECT id, row_number() OVER (PARTITION BY owner_id, lower({column}) ORDER BY id) AS n FROM contact
    WHERE {column} IS NOT NULL
) found WHERE found.id = contact.id AND found.n > 1
"""


def upgrade() -> None:
    now = sa.text("clock_timestamp()")
    time = sa.DateTime(timezone=True)
    for column in (
        sa.Column("tags", ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("timezone", sa.Text, comment="IANA"),
        sa.Column("operator_code", sa.Text, comment="Of a Russian number: the three digits after +7"),
        sa.Column("operator", sa.Text, comment="Its name, as Dadata says it"),
        sa.Column("attributes", JSONB, nullable=False, server_default="{}", comment="For templates"),
        sa.Column("consent", sa.Boolean, comment="NULL: nobody said"),
        sa.Column("consent_at", time),
        sa.Column("quality_code", sa.SmallInteger, comment="Dadata's qc of the phone"),
    ):
        op.add_column("contact", column)
    # Compared as bytes, so that indexes find what begins with something.
    for name in ("phone", "email"):
        op.alter_column("contact", name, type_=sa.Text(collation="C"))
        op.execute(_REPEATED.format(column=name))
    # It costs an import half of its time, for users who are never deleted.
    op.drop_constraint("contact_owner_id_fkey", "contact")
    op.alter_column("contact", "owner_id", comment="The user it belongs to")
    op.drop_index("ix_contact_owner", "contact")
    op.create_index("ix_contact_owner", "contact", ["owner_id", "id"])
    op.create_index(
        "uq_contact_phone", "contact", ["owner_id", "phone"], unique=True, postgresql_where=sa.text("phone IS NOT NULL")
    )
    op.create_index(
        "uq_contact_email",
        "contact",
        ["owner_id", sa.text("lower(email)")],
        unique=True,
        postgresql_where=sa.text("email IS NOT NULL"),
    )
    op.execute("CREATE INDEX ix_contact_name ON contact (owner_id, lower(name) COLLATE \"C\", id) WHERE name <> ''")
    for name in ("operator_code", "timezone"):
        op.create_index(
            f"ix_contact_{name}",
            "contact",
            ["owner_id", name, "id"],
            postgresql_where=sa.text(f"{name} IS NOT NULL"),
        )
    op.create_table(
        "contact_tag",
        sa.Column("owner_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("tag", sa.Text, primary_key=True),
        sa.Column("contact_id", sa.BigInteger, primary_key=True, autoincrement=False),
        comment="contact.tags, in the order of lists; kept by triggers",
    )
    for statement in _FUNCTIONS:
        op.execute(statement)
    op.create_table(
        "audience",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("owner_id", sa.BigInteger, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("filter", JSONB, nullable=False),
        sa.Column("created_at", time, nullable=False, server_default=now),
        sa.Column("updated_at", time, nullable=False, server_default=now),
    )
    op.create_index("uq_audience_name", "audience", ["owner_id", "name"], unique=True)
    op.create_table(
        "contact_question",
        sa.Column(
            "contact_id",
            sa.BigInteger,
            sa.ForeignKey("contact.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("task_id", sa.BigInteger, nullable=False, comment="Under which its phone is looked up"),
        sa.Column("phone", sa.Text, nullable=False),
        sa.Column("asked_at", time, nullable=False, server_default=now),
        sa.Column("due_at", time, server_default=now, comment="When to look for the answer; NULL: it is over"),
        sa.Column("looks", sa.Integer, nullable=False, server_default="0"),
        sa.Column("failure", sa.Text, comment="Why there is no answer, for a person"),
        comment="What a provider is asked about a contact's phone",
    )
    op.create_index(
        "ix_contact_question_due", "contact_question", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL")
    )


def downgrade() -> None:
    for name in ("contact_question", "audience", "contact_tag"):
        op.drop_table(name)
    for name in ("insert", "update", "delete"):
        op.execute(f"DROP FUNCTION contact_tag_{name} CASCADE")
    for name in ("operator_code", "timezone", "name"):
        op.drop_index(f"ix_contact_{name}", "contact")
    for name in ("phone", "email"):
        op.drop_index(f"uq_contact_{name}", "contact")
        op.alter_column("contact", name, type_=sa.Text())
    op.drop_index("ix_contact_owner", "contact")
    op.create_index("ix_contact_owner", "contact", ["owner_id", "created_at", "id"])
    op.alter_column("contact", "owner_id", comment=None)
    op.create_foreign_key("contact_owner_id_fkey", "contact", "users", ["owner_id"], ["id"], ondelete="CASCADE")
    for name in (
        "tags",
        "timezone",
        "operator_code",
        "operator",
        "attributes",
        "consent",
        "consent_at",
        "quality_code",
    ):
        op.drop_column("contact", name)
