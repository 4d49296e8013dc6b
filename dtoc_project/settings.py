"""Django settings. Everything that differs between machines comes from the environment.

| variable | default | meaning |
| --- | --- | --- |
| DTOC_DATABASE_URL | a private PostgreSQL | postgresql://user:secret@host:5432/name |
| DTOC_IDLE_IN_TRANSACTION_SECONDS | 60 | ends sessions that forget a transaction; 0 leaves it out |
| DTOC_REDIS_URL | a private Redis | redis://:password@host:6379/0 |
| DTOC_HOME | .dtoc/ beside manage.py | keys, model artefacts, private servers |
| DTOC_DEVICE | cuda where there is one, else cpu | the device of torch |
| DTOC_SECRET_KEY | a key file under DTOC_HOME | signs cookies and cursors |
| DTOC_KEK_FILE | DTOC_HOME/keys/kek | the key-encryption key of the identity vault |
| DTOC_IMPORT_BYTES | 1073741824 | the largest file that the API takes for an import |
| DTOC_HOSTS | localhost | host names to answer to, separated by commas |
| DTOC_DEBUG | 0 | 1 shows error pages with settings; never in production |
| DTOC_QUARANTINE_DAYS | 30 | after these a quarantined body is destroyed |
| DTOC_QUARANTINE_DAYS_UNREADABLE | 7 | the same where nobody can tell whose it is |
| DTOC_QUARANTINE_DAYS_RESOLVED | 90 | after these what is left of a resolved row goes |
| DTOC_LATE_EVENT_BUDGET_DAYS | 90 | a later event waits for the nightly rebuild of its twin |
| DTOC_SNAPSHOT_EVENTS | 50 | after so many events a twin's snapshot is due; also on each new day |
| DTOC_SNAPSHOT_DAYS_ALL | 30 | every snapshot of so many days is kept |
| DTOC_SNAPSHOT_DAYS_DAILY | 365 | older: the last of each day for so long, then of each month |
| DTOC_FIDELITY_LINES | 256 | so many lines of each advance are scored against what was foreseen |
| DTOC_FIDELITY_SHARE | 0.25 | and this share of the events that are folded as they are posted |
| DTOC_TRAIN_ON_DRIFT | | 1: a challenger is trained when the twins foresee worse than they did |
| DTOC_GLOBAL_HOLDOUT_SHARE | 0 | this share of all customers is kept out of every campaign |
| DTOC_CONTACT_CAP | 0 | who was made so many offers is left out of a launch; 0: no limit |
| DTOC_CONTACT_CAP_DAYS | 30 | within so many days before it |
| DTOC_MARKETING_BASIS | consent | who may be decided about: consent, or legitimate_interest |
| DTOC_DECISION_HOURS | 24 | so long an offer may be shown, and counts as a contact unreported |
| DTOC_DECISION_DAYS | 90 | so long decisions are kept |
| DTOC_LOG_FORMAT | text | text or json |
| DTOC_WRITE_KEY_EVENTS_PER_SECOND | 1000 | how fast a write key may send; 0: no limit |
| DTOC_WRITE_KEY_BURST | 10000 | how much of it at once |
| DTOC_CLIENT_EVENTS_PER_SECOND | 0 | how fast an API client may send; 0: no limit |
| DTOC_CLIENT_BURST | 500000 | how much of it at once |
"""

import os
from pathlib import Path
from typing import Any

from celery.schedules import crontab

import dtoc_project.urls_of_servers as servers
from access.scopes import SCOPES
from dtoc_project import embedded
from dtoc_project.logs import logging_configuration
from dtoc_project.secrets import secret_from_file

BASE_DIR = Path(__file__).resolve().parent.parent
DTOC_HOME = embedded.home()
DTOC_DEVICE = os.environ.get("DTOC_DEVICE") or None
DTOC_KEK_FILE = servers.path_from("DTOC_KEK_FILE", DTOC_HOME / "keys" / "kek")
DTOC_LOOKUP_KEY_FILE = servers.path_from("DTOC_LOOKUP_KEY_FILE", DTOC_HOME / "keys" / "lookup")
DTOC_SIGNING_KEY_FILE = servers.path_from("DTOC_SIGNING_KEY_FILE", DTOC_HOME / "keys" / "signing")
DTOC_WRITE_KEY_EVENTS_PER_SECOND = int(os.environ.get("DTOC_WRITE_KEY_EVENTS_PER_SECOND", 1_000))
DTOC_WRITE_KEY_BURST = int(os.environ.get("DTOC_WRITE_KEY_BURST", 10_000))
DTOC_CLIENT_EVENTS_PER_SECOND = int(os.environ.get("DTOC_CLIENT_EVENTS_PER_SECOND", 0))
DTOC_CLIENT_BURST = int(os.environ.get("DTOC_CLIENT_BURST", 500_000))
DTOC_QUARANTINE_DAYS = int(os.environ.get("DTOC_QUARANTINE_DAYS", 30))
DTOC_QUARANTINE_DAYS_UNREADABLE = int(os.environ.get("DTOC_QUARANTINE_DAYS_UNREADABLE", 7))
DTOC_QUARANTINE_DAYS_RESOLVED = int(os.environ.get("DTOC_QUARANTINE_DAYS_RESOLVED", 90))
DTOC_LATE_EVENT_BUDGET_DAYS = int(os.environ.get("DTOC_LATE_EVENT_BUDGET_DAYS", 90))
DTOC_SNAPSHOT_EVENTS = int(os.environ.get("DTOC_SNAPSHOT_EVENTS", 50))
DTOC_SNAPSHOT_DAYS_ALL = int(os.environ.get("DTOC_SNAPSHOT_DAYS_ALL", 30))
DTOC_SNAPSHOT_DAYS_DAILY = int(os.environ.get("DTOC_SNAPSHOT_DAYS_DAILY", 365))
DTOC_FIDELITY_LINES = int(os.environ.get("DTOC_FIDELITY_LINES", 256))
DTOC_FIDELITY_SHARE = float(os.environ.get("DTOC_FIDELITY_SHARE", 0.25))
DTOC_TRAIN_ON_DRIFT = os.environ.get("DTOC_TRAIN_ON_DRIFT", "") not in ("", "0", "false")
DTOC_GLOBAL_HOLDOUT_SHARE = float(os.environ.get("DTOC_GLOBAL_HOLDOUT_SHARE", 0))
DTOC_CONTACT_CAP = int(os.environ.get("DTOC_CONTACT_CAP", 0))
DTOC_CONTACT_CAP_DAYS = int(os.environ.get("DTOC_CONTACT_CAP_DAYS", 30))
DTOC_MARKETING_BASIS = os.environ.get("DTOC_MARKETING_BASIS") or "consent"
DTOC_DECISION_HOURS = int(os.environ.get("DTOC_DECISION_HOURS", 24))
DTOC_DECISION_DAYS = int(os.environ.get("DTOC_DECISION_DAYS", 90))
DTOC_OBSERVED_TYPES = 500  # event types that collectors may add by sending them
DTOC_FLOWER_URL = os.environ.get("DTOC_FLOWER_URL", "http://127.0.0.1:5555/")

DEBUG = os.environ.get("DTOC_DEBUG") == "1"
SECRET_KEY = os.environ.get("DTOC_SECRET_KEY") or secret_from_file(DTOC_HOME / "keys" / "django")
ALLOWED_HOSTS = os.environ.get("DTOC_HOSTS", "localhost,127.0.0.1,[::1],testserver").split(",")

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "oauth2_provider",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_results",
    "common.apps.CommonConfig",
    "access.apps.AccessConfig",
    "customers.apps.CustomersConfig",
    "events.apps.EventsConfig",
    "twins.apps.TwinsConfig",
    "campaigns.apps.CampaignsConfig",
    "dtoc_project.apps.DtocAdminConfig",  # last: it replaces admin pages of those above
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "dtoc_project.middleware.RequestIdMiddleware",
    "dtoc_project.pages.PageSessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "dtoc_project.pages.PageCsrfMiddleware",
    "dtoc_project.pages.PageAuthenticationMiddleware",
    "dtoc_project.pages.PageMessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "dtoc_project.middleware.ProblemMiddleware",
]

ROOT_URLCONF = "dtoc_project.urls"
WSGI_APPLICATION = "dtoc_project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {
    "default": servers.database_settings(
        os.environ.get("DTOC_DATABASE_URL"),
        idle_in_transaction_seconds=int(
            os.environ.get("DTOC_IDLE_IN_TRANSACTION_SECONDS") or servers.IDLE_SECONDS
        ),
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = os.environ.get("DTOC_REDIS_URL") or "redis://127.0.0.1:6379/0"

STORAGES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "models": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": DTOC_HOME / "models"},
    },
    "imports": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": DTOC_HOME / "imports",
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
}
# Uploads land here first. Like the storage above, workers and web processes have to share it.
FILE_UPLOAD_TEMP_DIR = DTOC_HOME / "incoming"
FILE_UPLOAD_TEMP_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
DTOC_IMPORT_BYTES = int(os.environ.get("DTOC_IMPORT_BYTES", 1024**3))
STATIC_URL = "static/"
STATIC_ROOT = DTOC_HOME / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise warns of a folder that is not there
WHITENOISE_USE_FINDERS = True  # no collectstatic step before the first page

LANGUAGE_CODE = "en"
USE_TZ = True
TIME_ZONE = "UTC"
LOGIN_URL = "/admin/login/"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
APPEND_SLASH = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 32 * 1024 * 1024  # a batch of 5,000 events is about 2 MB

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

OAUTH2_PROVIDER_APPLICATION_MODEL = "access.ApiClient"
OAUTH2_PROVIDER = {
    "SCOPES": SCOPES,
    "SCOPES_BACKEND_CLASS": "access.oauth.ClientScopes",
    "ACCESS_TOKEN_EXPIRE_SECONDS": 3600,
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["access.tokens.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["access.permissions.HasScopes"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "common.api.negotiation.QuickNegotiation",
    "DEFAULT_RENDERER_CLASSES": ["common.api.renderers.MillisecondJSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "common.api.pagination.SignedCursorPagination",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "dtoc_project.problems.exception_handler",
    "DATETIME_FORMAT": None,  # the renderer writes times, with milliseconds
    "PAGE_SIZE": 50,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "DToC, the Digital Twin of a Customer",
    "DESCRIPTION": "Send what customers do, read their twins, simulate campaigns.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "CustomerStatus": "customers.models.Customer.Status",
        "RequestStatus": "customers.models.DataSubjectRequest.Status",
        "OperationStatus": "common.models.Operation.Status",
        "QuarantinedStatus": "events.models.QuarantinedEvent.Status",
        "QuarantinedForm": "events.models.QuarantinedEvent.Form",
        "DecisionOutcome": "campaigns.models.Decision.Outcome",
        "LaunchStatus": "campaigns.models.PolicyLedgerEntry.Status",
        "ModelVersionState": "twins.models.ModelVersion.State",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "dtoc_project.schema.with_problem_responses",
        "dtoc_project.schema.with_dual_update",
    ],
}

CELERY_BROKER_URL = servers.broker_url(REDIS_URL)
CELERY_RESULT_BACKEND = "django-db"
CELERY_RESULT_EXTENDED = True
CELERY_RESULT_EXPIRES = 24 * 3600
CELERY_TASK_TRACK_STARTED = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 120
CELERY_TASK_ANNOTATIONS = {
    "twins.train": {"time_limit": 4 * 3600},
    "twins.thin_snapshots": {"time_limit": 3600},
    "twins.count_markets": {"time_limit": 3600},  # reads every purchase
    "events.run_import": {"time_limit": 3600},  # a minute of storing, behind rows read over
    "customers.run_erasure": {"time_limit": 3600},  # the scan reads every table
}
# Redis hands a task that runs longer than this to a second worker, so it exceeds the longest limit.
# A killed worker's tasks need not wait for it: the sweeps below find their work within seconds.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 5 * 3600,
    "socket_timeout": 10,
    "max_retries": 0,  # a request never waits for a broker that is away: the sweep finds its work
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_TASK_SEND_SENT_EVENT = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "ingest"
CELERY_TASK_ROUTES = {
    "twins.train*": {"queue": "training"},
    "twins.*": {"queue": "twins"},
    "campaigns.*": {"queue": "simulations"},
    "events.*": {"queue": "ingest"},
    "customers.*": {"queue": "ingest"},
}
# Each nudge that was lost with a worker or the broker is made good by one of these.
CELERY_BEAT_SCHEDULE = {
    "advance twins that lag": {"task": "twins.sweep", "schedule": 5.0},
    "retry parked streams": {"task": "twins.retry_parked", "schedule": 30.0},
    "count markets": {"task": "twins.count_markets", "schedule": crontab(hour="0", minute="10")},
    "watch for drift": {"task": "twins.watch_drift", "schedule": crontab(hour="1", minute="10")},
    "mend twins that wait": {"task": "twins.mend", "schedule": crontab(hour="2", minute="30")},
    "thin snapshots": {"task": "twins.thin_snapshots", "schedule": crontab(hour="3", minute="30")},
    "resume simulations": {"task": "campaigns.sweep_simulations", "schedule": 15.0},
    "resume launches": {"task": "campaigns.sweep_launches", "schedule": 15.0},
    "forget decisions": {"task": "campaigns.forget_decisions", "schedule": 300.0},
    "settle campaigns": {"task": "campaigns.settle_launches", "schedule": 900.0},
    "tidy up": {"task": "common.tidy", "schedule": 3600.0},
    "put past days together": {"task": "events.compact_sku_days", "schedule": 24 * 3600.0},
    "tidy quarantine": {"task": "events.tidy_quarantine", "schedule": 900.0},
    "resume replays": {"task": "events.sweep_replays", "schedule": 30.0},
    "resume erasures": {"task": "customers.sweep_erasures", "schedule": 30.0},
    "resume imports": {"task": "events.sweep_imports", "schedule": 15.0},
    "mark how far the feed is whole": {"task": "events.mark_feed", "schedule": 10.0},
}
CELERY_BEAT_SCHEDULE_FILENAME = str(DTOC_HOME / "celerybeat-schedule")

LOGGING = logging_configuration(os.environ.get("DTOC_LOG_FORMAT", "text"))

UNFOLD = {
    "SITE_TITLE": "DToC",
    "SITE_HEADER": "DToC",
    "SITE_SUBHEADER": "Digital Twin of a Customer",
    "SITE_SYMBOL": "person_pin_circle",
    "SITE_URL": "/api/docs/",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": "dtoc_project.navigation.navigation",
    },
}
