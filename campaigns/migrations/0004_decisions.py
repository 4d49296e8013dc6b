"""Offers that decisions may choose, decisions, their exposures, and a look at what rules them."""

import django.db.models.deletion
import uuid
from decimal import Decimal
from django.db import migrations, models

# All that the rules need to know of one customer. The lock comes first and lasts until the decision
# is stored: two decisions for a customer, a launch that assigns and an erasure that begins come one
# after the other. Each statement of a volatile function sees what was committed before it, so what
# is counted behind the lock is current. An offer that was made, and not reported yet, counts as a
# contact until it may no longer be shown.
LOOK = """
CREATE FUNCTION campaigns_look(
    asked uuid, at timestamptz, counted_from timestamptz, OUT status text, OUT marketing boolean,
    OUT profiling boolean, OUT unsubscribed text[], OUT contacts integer, OUT held text,
    OUT offers text
) LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $body$
BEGIN
    SELECT x.status INTO status FROM customers_customer AS x WHERE x.pseudonym = asked
    FOR NO KEY UPDATE;
    IF status IS DISTINCT FROM 'active' THEN
        RETURN;
    END IF;
    SELECT * INTO marketing, profiling, unsubscribed FROM events_said(asked);
    contacts := (
        SELECT count(*) FROM campaigns_exposure AS x
        WHERE x.pseudonym = asked AND x.arm = 'treatment' AND x.assigned_at > counted_from
            AND x.assigned_at <= at
    ) + (
        SELECT count(*) FROM campaigns_decision AS x
        WHERE x.pseudonym = asked AND x.decided_at > counted_from AND x.arm = 'treatment'
            AND x.outcome = '' AND x.show_until > at
    );
    held := (
        SELECT json_object_agg(y.campaign_id, y.until) FROM (
            SELECT x.campaign_id, max(coalesce(
                l.offer_ends_at, x.assigned_at + make_interval(days => c.offer_days)
            )) AS until
            FROM campaigns_exposure AS x
            JOIN campaigns_campaign AS c ON c.id = x.campaign_id
            LEFT JOIN campaigns_policyledgerentry AS l ON l.id = x.launch_id
            WHERE x.pseudonym = asked
            GROUP BY x.campaign_id
        ) AS y WHERE y.until > at
    )::text;
    offers := (
        SELECT json_agg(json_build_object(
            'id', o.id, 'campaign_id', c.id, 'name', c.name, 'kind', c.offer_kind,
            'depth', o.depth::text, 'skus', o.skus, 'offer_days', c.offer_days,
            'least_order_value', o.least_order_value::text, 'currency', c.currency,
            'holdout_share', o.holdout_share::text, 'response', o.response,
            'margin_rate', c.margin_rate::text, 'funded_share', c.funded_share::text,
            'contact_cost', c.contact_cost::text
        ) ORDER BY o.id)
        FROM campaigns_liveoffer AS o JOIN campaigns_campaign AS c ON c.id = o.campaign_id
        WHERE o.closed_at IS NULL AND o.starts_at <= at AND o.ends_at > at
    )::text;
END $body$;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('campaigns', '0003_policy_ledger'),
        ('customers', '0001_initial'),
        ('events', '0011_marketing_said'),
    ]

    operations = [
        migrations.AddField(
            model_name='exposure',
            name='decision',
            field=models.UUIDField(help_text='its id; the decision itself is forgotten one day', null=True, unique=True),
        ),
        migrations.AlterField(
            model_name='exposure',
            name='launch',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='exposures', to='campaigns.policyledgerentry'),
        ),
        migrations.CreateModel(
            name='LiveOffer',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('depth', models.DecimalField(decimal_places=5, help_text='share of the price', max_digits=6)),
                ('skus', models.JSONField(blank=True, default=list, help_text='the products that it holds for; empty: all')),
                ('least_order_value', models.DecimalField(blank=True, decimal_places=2, help_text='orders below this do not get it; empty: every order does', max_digits=12, null=True)),
                ('holdout_share', models.DecimalField(decimal_places=4, max_digits=5)),
                ('response', models.JSONField(help_text='the elasticity, its spread, and where they come from')),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField(help_text='not included; whoever has the offer keeps it')),
                ('opened_by', models.CharField(max_length=200)),
                ('opened_at', models.DateTimeField()),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('campaign', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='live_offers', to='campaigns.campaign')),
            ],
        ),
        migrations.CreateModel(
            name='Decision',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('pseudonym', models.UUIDField()),
                ('decided_at', models.DateTimeField()),
                ('asked_by', models.CharField(max_length=200)),
                ('reason', models.CharField(help_text='why it is what it is; a code', max_length=30)),
                ('words', models.TextField(help_text='the same in words')),
                ('arm', models.CharField(blank=True, choices=[('treatment', 'treatment'), ('control', 'control')], max_length=9)),
                ('show_until', models.DateTimeField(blank=True, help_text='until then it counts as a contact, reported or not', null=True)),
                ('model_version', models.UUIDField(blank=True, null=True)),
                ('stream_version', models.IntegerField(blank=True, help_text='of the twin', null=True)),
                ('twin', models.JSONField(help_text='what it expected; empty where nobody asked it', null=True)),
                ('candidates', models.JSONField(help_text='every open offer, its expected margin and why not')),
                ('rules', models.JSONField(help_text='the settings and statements that were obeyed')),
                ('outcome', models.CharField(blank=True, choices=[('shown', 'Shown'), ('not_shown', 'not shown')], max_length=9)),
                ('outcome_at', models.DateTimeField(blank=True, help_text='when it was shown, or not', null=True)),
                ('reported_at', models.DateTimeField(blank=True, null=True)),
                ('live_offer', models.ForeignKey(blank=True, db_index=False, help_text='the best one, whether it was made or held back; empty: none is worth it', null=True, on_delete=django.db.models.deletion.PROTECT, to='campaigns.liveoffer')),
            ],
        ),
        migrations.AddField(
            model_name='exposure',
            name='live_offer',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='exposures', to='campaigns.liveoffer'),
        ),
        migrations.AddConstraint(
            model_name='exposure',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decision__isnull', True), ('launch__isnull', False), ('live_offer__isnull', True)), models.Q(('decision__isnull', False), ('launch__isnull', True), ('live_offer__isnull', False)), _connector='OR'), name='exposure_by_launch_or_decision'),
        ),
        migrations.AddIndex(
            model_name='liveoffer',
            index=models.Index(fields=['-opened_at', '-id'], name='live_offer_newest'),
        ),
        migrations.AddIndex(
            model_name='liveoffer',
            index=models.Index(condition=models.Q(('closed_at__isnull', True)), fields=['ends_at'], name='live_offer_open'),
        ),
        migrations.AddConstraint(
            model_name='liveoffer',
            constraint=models.CheckConstraint(condition=models.Q(('depth__gt', 0), ('depth__lte', Decimal('0.9')), ('holdout_share__gte', 0), ('holdout_share__lte', Decimal('0.9')), models.Q(('least_order_value__isnull', True), ('least_order_value__gt', 0), _connector='OR'), ('ends_at__gt', models.F('starts_at'))), name='live_offer_figures_in_range'),
        ),
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(fields=['-decided_at', '-id'], name='decision_newest'),
        ),
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(fields=['pseudonym', '-decided_at', '-id'], name='decision_of_customer'),
        ),
        migrations.AddConstraint(
            model_name='decision',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('arm', ''), ('live_offer__isnull', True), ('outcome', ''), ('show_until__isnull', True)), models.Q(models.Q(('arm', ''), _negated=True), ('live_offer__isnull', False), ('show_until__isnull', False)), _connector='OR'), name='decision_has_an_arm_with_its_offer'),
        ),
        migrations.AddConstraint(
            model_name='decision',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('outcome', ''), ('outcome_at__isnull', True), ('reported_at__isnull', True)), models.Q(models.Q(('outcome', ''), _negated=True), ('outcome_at__isnull', False), ('reported_at__isnull', False)), _connector='OR'), name='decision_outcome_has_its_times'),
        ),
        migrations.RunSQL(LOOK, 'DROP FUNCTION campaigns_look(uuid, timestamptz, timestamptz)'),
    ]
