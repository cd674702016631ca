"""The catalogue says who may see what: fail closed, by row-level security."""

from __future__ import annotations

import pytest
from psycopg import Connection, errors

from core.database import Database, refuse_unsafe_role

# table → why it needs no site policy
EXEMPT = {
    "alembic_version": "schema version, no data",
    "sites": "named at sign-in, before a site is known",
    "users": "a person may work on several sites and is looked up before one is known",
    "memberships": "which sites a person may enter",
    "sessions": "looked up by token hash before a site is known",
    "sign_in_tries": "wrong tries by the hash of a login, before anybody is known",
    "totp_secrets": "an account's own, looked up before a site is known; sealed",
    "recovery_codes": "an account's own, looked up before a site is known; hashes",
    "passkeys": "an account's own, looked up by credential before a site is known; public keys",
    "answered_challenges": "hashes of random numbers",
    "external_identities": "whose account a provider's subject is, looked up before a site is known",
    "plant_clock": "one clock an instance",
    "store_features": "what the server can do, no names and no values",
    "ingest_batches": "counts of a flush over all sites, no names and no values",
    "ingest_heartbeat": "when ingest last lived, one row an instance",
    "ingest_drops": "counts of what no site can own: the topic named none",
    "pgqueuer": "the queue; a job names its site in its payload",
    "pgqueuer_log": "the queue's log",
    "pgqueuer_schedules": "the queue's schedules",
    "pgqueuer_statistics": "the queue's statistics",
    "jobs_done": "fences by random id",
    "search_documents": "no right but through functions that look at the site: under a policy its index is not used",
    "search_words": "as search_documents",
}

# only on TimescaleDB, which refuses a columnstore under row-level security: everybody reads the view `samples`
BEHIND_A_BARRIER = {"sample_store": "read through the security_barrier view samples; the app may not even name it"}


def tables(conn: Connection) -> dict[str, tuple[bool, bool]]:
    rows = conn.execute(
        """select c.relname, c.relrowsecurity and c.relforcerowsecurity,
             exists (select 1 from pg_policy p where p.polrelid = c.oid)
           from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition"""
    )
    return {name: (forced, policy) for name, forced, policy in rows}


def test_every_table_has_a_policy_or_a_reason(superuser: Connection) -> None:
    open_tables = {name for name, (forced, policy) in tables(superuser).items() if not (forced and policy)}
    assert open_tables - set(BEHIND_A_BARRIER) == set(EXEMPT)


def test_what_lies_behind_a_barrier_is_read_through_it_alone(superuser: Connection) -> None:
    for table in set(BEHIND_A_BARRIER) & set(tables(superuser)):
        rights = superuser.execute(
            """select r.rolname, p.privilege from (values ('millwright_app'), ('millwright_ingest')) as r(rolname),
                 (values ('select'), ('insert'), ('update'), ('delete'), ('truncate')) as p(privilege)
               where has_table_privilege(r.rolname, %s, p.privilege)""",
            (table,),
        ).fetchall()
        assert rights == [("millwright_ingest", "insert")]
        view = superuser.execute("select relkind, reloptions from pg_class where relname = 'samples'").fetchone()
        assert view == ("v", ["security_barrier=true"])


@pytest.mark.parametrize("role", ["millwright_app", "millwright_ingest", "millwright_owner"])
def test_no_role_of_ours_can_pass_by_the_policies(superuser: Connection, role: str) -> None:
    row = superuser.execute(
        "select rolsuper or rolbypassrls or rolcreaterole or rolcreatedb from pg_roles where rolname = %s", (role,)
    ).fetchone()
    assert row == (False,)


def test_app_and_ingest_own_nothing(superuser: Connection) -> None:
    row = superuser.execute(
        """select count(*) from pg_class c join pg_roles r on r.oid = c.relowner
           where r.rolname in ('millwright_app', 'millwright_ingest')"""
    ).fetchone()
    assert row == (0,)


def test_without_a_site_nothing_is_seen(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        conn.execute("insert into assets (code, name) values ('P-1', 'Pump')")
    with database.tx() as conn:
        assert conn.execute("select count(*) from assets").fetchone() == (0,)
    with database.tx(site_id=site) as conn:
        assert conn.execute("select count(*) from assets").fetchone() == (1,)
    with database.tx() as conn:  # the site did not stay on the pooled connection
        assert conn.execute("select count(*) from assets").fetchone() == (0,)


def test_another_site_sees_and_writes_nothing(database: Database, site: int) -> None:
    with database.tx() as conn:
        row = conn.execute("insert into sites (code, name) values ('other', 'Other') returning site_id").fetchone()
    assert row
    with database.tx(site_id=site) as conn:
        conn.execute("insert into assets (code, name) values ('P-1', 'Pump')")
    with database.tx(site_id=row[0]) as conn:
        assert conn.execute("select count(*) from assets").fetchone() == (0,)
        assert conn.execute("update assets set name = 'x'").rowcount == 0
    with pytest.raises(errors.InsufficientPrivilege), database.tx(site_id=row[0]) as conn:
        conn.execute("insert into assets (site_id, code, name) values (%s, 'P-2', 'Pump')", (site,))


def test_the_app_may_not_rewrite_the_timeline_or_the_samples(database: Database, site: int) -> None:
    for statement in (
        "update ticket_events set body = '{}'",
        "delete from ticket_events",
        "insert into samples values (now(), 1, 1, 0, 1)",
        "delete from samples",
    ):
        with pytest.raises(errors.InsufficientPrivilege), database.tx(site_id=site) as conn:
            conn.execute(statement)


def test_the_roles_of_the_app_are_safe_and_a_superuser_is_refused(database: Database, superuser: Connection) -> None:
    from core.database import UnsafeRole

    with database.tx() as conn:
        refuse_unsafe_role(conn)
    with pytest.raises(UnsafeRole):
        refuse_unsafe_role(superuser)
