"""TikTok: Login Kit, the Display API and the Content Posting API."""
