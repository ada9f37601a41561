"""What `manage.py doctor` looks at. Each check gives findings; none of them changes anything or shows a secret."""

from config.doctor.findings import Finding, Level
from config.doctor.parts import check_broker, check_database, check_scanner, check_storage, check_workers
from config.doctor.setup import check_email, check_keys, check_site, check_system
from config.doctor.tiktok import check_tiktok

CHECKS = {
    "Settings": [check_site, check_keys, check_email, check_system],
    "Database": [check_database],
    "Redis and broker": [check_broker],
    "Storage": [check_storage],
    "Malware scan": [check_scanner],
    "Worker and beat": [check_workers],
    "TikTok": [check_tiktok],
}

__all__ = ["CHECKS", "Finding", "Level"]
