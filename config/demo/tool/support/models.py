"""What an e-mail marketing company's support tool knows: customers, their audiences, API keys, and what staff wrote."""
from django.db import models


class Customer(models.Model):
    PLANS = [("free", "Free"), ("standard", "Standard"), ("premium", "Premium")]

    name = models.CharField(max_length=100)
    site = models.CharField(max_length=100)
    owner = models.CharField(max_length=100)
    email = models.EmailField()
    country = models.CharField(max_length=2)
    plan = models.CharField(max_length=10, choices=PLANS)
    since = models.DateField()
    suspended = models.BooleanField(default=False)

    class Meta:
        ordering = ["id"]

    def __str__(self):
        return self.name


class Audience(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
    name = models.CharField(max_length=100)
    created = models.DateField()

    class Meta:
        ordering = ["id"]

    def __str__(self):
        return f"{self.name} ({self.customer})"


class Contact(models.Model):
    audience = models.ForeignKey(Audience, on_delete=models.CASCADE)
    email = models.EmailField()
    first_name = models.CharField(max_length=50)
    last_name = models.CharField(max_length=50)
    subscribed = models.BooleanField(default=True)
    added = models.DateField()

    class Meta:
        ordering = ["id"]

    def __str__(self):
        return self.email


class ApiKey(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
    label = models.CharField(max_length=50)
    key = models.CharField(max_length=64)
    created = models.DateField()
    revoked = models.BooleanField(default=False)

    class Meta:
        ordering = ["id"]
        verbose_name = "API key"

    def __str__(self):
        return self.label


class StaffNote(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
    author = models.CharField(max_length=50)
    written = models.DateField()
    text = models.TextField()

    class Meta:
        ordering = ["id"]

    def __str__(self):
        return f"{self.author}, {self.written}"
