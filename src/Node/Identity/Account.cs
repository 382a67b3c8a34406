using Gongzhi.Core.Storage;
using Microsoft.AspNetCore.Identity;
using Microsoft.EntityFrameworkCore;

namespace Gongzhi.Node.Identity;

/// <summary>How a person signs in. What the person may do belongs to the party, never to the account.</summary>
public sealed class Account : IdentityUser
{
    /// <summary>The id of the party that signs in here.</summary>
    public string PartyId { get; set; } = "";
}

/// <summary>Identity's tables (schema version 3, without its roles) and OpenIddict's.</summary>
internal sealed class IdentityModel : IModelPart
{
    public void Build(ModelBuilder model)
    {
        model.Entity<Account>(e =>
        {
            e.ToTable("account");
            e.HasKey(a => a.Id);
            e.Property(a => a.Id).HasMaxLength(64);
            e.Property(a => a.PartyId).HasMaxLength(64).IsRequired();
            e.HasIndex(a => a.PartyId);
            e.Property(a => a.UserName).HasMaxLength(128);
            e.Property(a => a.NormalizedUserName).HasMaxLength(128);
            e.HasIndex(a => a.NormalizedUserName).IsUnique();
            e.Property(a => a.Email).HasMaxLength(256);
            e.Property(a => a.NormalizedEmail).HasMaxLength(256);
            e.Property(a => a.PhoneNumber).HasMaxLength(32);
            e.Property(a => a.ConcurrencyStamp).IsConcurrencyToken();
            e.HasMany<IdentityUserClaim<string>>().WithOne().HasForeignKey(c => c.UserId).IsRequired();
            e.HasMany<IdentityUserLogin<string>>().WithOne().HasForeignKey(l => l.UserId).IsRequired();
            e.HasMany<IdentityUserToken<string>>().WithOne().HasForeignKey(t => t.UserId).IsRequired();
            e.HasMany<IdentityUserPasskey<string>>().WithOne().HasForeignKey(p => p.UserId).IsRequired();
        });
        model.Entity<IdentityUserClaim<string>>(e => { e.ToTable("account_claim"); e.HasKey(c => c.Id); });
        model.Entity<IdentityUserLogin<string>>(e =>
        {
            e.ToTable("account_login");
            e.HasKey(l => new { l.LoginProvider, l.ProviderKey });
            e.Property(l => l.LoginProvider).HasMaxLength(128);
            e.Property(l => l.ProviderKey).HasMaxLength(128);
        });
        model.Entity<IdentityUserToken<string>>(e =>
        {
            e.ToTable("account_token");
            e.HasKey(t => new { t.UserId, t.LoginProvider, t.Name });
        });
        model.Entity<IdentityUserPasskey<string>>(e =>
        {
            e.ToTable("account_passkey");
            e.HasKey(p => p.CredentialId);
            e.Property(p => p.CredentialId).HasMaxLength(1_024);
            e.OwnsOne(p => p.Data).ToJson();
        });
        model.UseOpenIddict();
    }
}
