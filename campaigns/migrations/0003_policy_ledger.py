"""The policy ledger and its exposures; a trigger keeps what was decided and measured."""

import django.db.models.deletion
import uuid
from decimal import Decimal
from django.db import migrations, models

# A launch is decided once and measured once: what was forecast cannot be bettered afterwards.
FORWARD = """
CREATE FUNCTION campaigns_refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'ledger entry % is kept: DELETE refused', OLD.id
            USING ERRCODE = 'insufficient_privilege', HINT = 'Cancel the launch instead.';
    END IF;
    IF OLD.status IN ('settled', 'cancelled') THEN
        RAISE EXCEPTION 'ledger entry % is %: UPDATE refused', OLD.id, OLD.status
            USING ERRCODE = 'insufficient_privilege', HINT = 'Launch again instead.';
    END IF;
    IF OLD.status = 'running' AND
        to_jsonb(NEW) - 'status' - 'measured' - 'settled_at'
            IS DISTINCT FROM to_jsonb(OLD) - 'status' - 'measured' - 'settled_at'
    THEN
        RAISE EXCEPTION 'ledger entry % is running: UPDATE refused', OLD.id
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Only the settlement may still be written.';
    END IF;
    RETURN NEW;
END $body$;
CREATE TRIGGER campaigns_policyledgerentry_immutable
    BEFORE UPDATE OR DELETE ON campaigns_policyledgerentry
    FOR EACH ROW EXECUTE FUNCTION campaigns_refuse_ledger_change();
ALTER TABLE campaigns_policyledgerentry
    ENABLE ALWAYS TRIGGER campaigns_policyledgerentry_immutable;
"""

REVERSE = """
DROP TRIGGER campaigns_policyledgerentry_immutable ON campaigns_policyledgerentry;
DROP FUNCTION campaigns_refuse_ledger_change();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('campaigns', '0002_products_and_economics'),
        ('common', '0002_outbox'),
    ]

    operations = [
        migrations.CreateModel(
            name='PolicyLedgerEntry',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('status', models.CharField(choices=[('launching', 'customers are being assigned'), ('running', 'the offer is out'), ('settled', 'measured'), ('cancelled', 'cancelled')], default='launching', max_length=10)),
                ('depth', models.DecimalField(decimal_places=5, help_text='share of the price', max_digits=6)),
                ('delay_days', models.IntegerField(help_text='from the start of the window to that of the offer')),
                ('holdout_share', models.DecimalField(decimal_places=4, max_digits=5)),
                ('rules', models.JSONField(help_text='global hold-out and contact cap as they were at the launch')),
                ('starts_at', models.DateTimeField(help_text='where what customers do begins to count')),
                ('ends_at', models.DateTimeField(help_text='where it ends; not included')),
                ('offer_starts_at', models.DateTimeField()),
                ('offer_ends_at', models.DateTimeField()),
                ('model_version', models.UUIDField()),
                ('model_sha256', models.CharField(max_length=64)),
                ('response', models.JSONField(help_text='the response model, and what the uplift rests on')),
                ('forecast', models.JSONField(help_text='of the chosen scenario, with its 90 % interval')),
                ('treated', models.IntegerField(default=0)),
                ('control', models.IntegerField(default=0)),
                ('left_out', models.JSONField(default=dict, help_text='how many of the audience, by reason')),
                ('measured', models.JSONField(null=True)),
                ('launched_by', models.CharField(max_length=200)),
                ('launched_at', models.DateTimeField()),
                ('settled_at', models.DateTimeField(null=True)),
                ('campaign', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='launches', to='campaigns.campaign')),
                ('operation', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='launch', to='common.operation')),
                ('simulation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='launches', to='campaigns.simulationrun')),
            ],
            options={
                'verbose_name_plural': 'policy ledger',
            },
        ),
        migrations.CreateModel(
            name='Exposure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('pseudonym', models.UUIDField()),
                ('arm', models.CharField(choices=[('treatment', 'Treatment'), ('control', 'Control')], max_length=9)),
                ('depth', models.DecimalField(decimal_places=5, help_text='offered or held back', max_digits=6)),
                ('assigned_at', models.DateTimeField()),
                ('campaign', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, to='campaigns.campaign')),
                ('launch', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='exposures', to='campaigns.policyledgerentry')),
            ],
        ),
        migrations.AddIndex(
            model_name='policyledgerentry',
            index=models.Index(fields=['-launched_at', '-id'], name='ledger_newest'),
        ),
        migrations.AddIndex(
            model_name='policyledgerentry',
            index=models.Index(condition=models.Q(('status', 'running')), fields=['ends_at'], name='ledger_to_settle'),
        ),
        migrations.AddConstraint(
            model_name='policyledgerentry',
            constraint=models.CheckConstraint(condition=models.Q(('holdout_share__gte', 0), ('holdout_share__lte', Decimal('0.9')), ('ends_at__gt', models.F('starts_at'))), name='ledger_figures_in_range'),
        ),
        migrations.AddConstraint(
            model_name='policyledgerentry',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('measured__isnull', False), ('settled_at__isnull', False), ('status', 'settled')), models.Q(models.Q(('status', 'settled'), _negated=True), ('measured__isnull', True), ('settled_at__isnull', True)), _connector='OR'), name='ledger_settled_is_measured'),
        ),
        migrations.AddIndex(
            model_name='exposure',
            index=models.Index(fields=['campaign', '-id'], name='exposure_of_campaign'),
        ),
        migrations.AddIndex(
            model_name='exposure',
            index=models.Index(fields=['pseudonym', 'assigned_at'], name='exposure_of_customer'),
        ),
        migrations.AddConstraint(
            model_name='exposure',
            constraint=models.UniqueConstraint(fields=('launch', 'pseudonym'), name='exposure_once'),
        ),
        migrations.RunSQL(FORWARD, REVERSE),
    ]
