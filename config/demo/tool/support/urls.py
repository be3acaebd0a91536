from django.contrib import admin
from django.urls import path

from . import views

urlpatterns = [
    path("", views.start),
    path("admin/", admin.site.urls),
    path("reports/archive/<int:megabytes>/", views.archive),
]
