"""Django's own admin over the data, and the one action that the story is about: the export of an audience."""
import csv

from django.contrib import admin
from django.db.models import Count
from django.http import StreamingHttpResponse

from .models import ApiKey, Audience, Contact, Customer, StaffNote

admin.site.site_header = "Acme Mail support"
admin.site.site_title = "Acme Mail support"
admin.site.index_title = "Customers and their audiences"


class _Echo:
    """A file whose write returns the line: what csv.writer needs to stream."""

    @staticmethod
    def write(line):
        return line


@admin.action(description="Export the contacts of the selected audiences as CSV")
def export_csv(modeladmin, request, queryset):
    contacts = Contact.objects.filter(audience__in=queryset).select_related("audience__customer").order_by("id")
    writer = csv.writer(_Echo)

    def lines():
        yield writer.writerow(["customer", "audience", "email", "first name", "last name", "subscribed", "added"])
        for c in contacts.iterator():
            yield writer.writerow([c.audience.customer.name, c.audience.name, c.email, c.first_name, c.last_name,
                                   "yes" if c.subscribed else "no", c.added])

    answer = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="contacts.csv"'
    return answer


class AudienceInline(admin.TabularInline):
    model = Audience
    extra = 0
    show_change_link = True


class ApiKeyInline(admin.TabularInline):
    model = ApiKey
    extra = 0


class StaffNoteInline(admin.TabularInline):
    model = StaffNote
    extra = 0


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ["name", "site", "owner", "plan", "country", "since", "suspended"]
    list_filter = ["plan", "country", "suspended"]
    search_fields = ["name", "site", "owner", "email"]
    inlines = [AudienceInline, ApiKeyInline, StaffNoteInline]


@admin.register(Audience)
class AudienceAdmin(admin.ModelAdmin):
    list_display = ["name", "customer", "contacts", "created"]
    search_fields = ["name", "customer__name"]
    list_select_related = ["customer"]
    actions = [export_csv]

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(contact_count=Count("contact"))

    @admin.display(ordering="contact_count")
    def contacts(self, audience):
        return audience.contact_count


@admin.register(Contact)
class ContactAdmin(admin.ModelAdmin):
    list_display = ["email", "first_name", "last_name", "audience", "subscribed", "added"]
    list_filter = ["subscribed"]
    list_select_related = ["audience__customer"]
    search_fields = ["email", "last_name"]


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):
    list_display = ["label", "customer", "key", "created", "revoked"]
    list_select_related = ["customer"]
    search_fields = ["label", "customer__name"]


@admin.register(StaffNote)
class StaffNoteAdmin(admin.ModelAdmin):
    list_display = ["customer", "author", "written", "text"]
    list_select_related = ["customer"]
    search_fields = ["text", "customer__name"]
