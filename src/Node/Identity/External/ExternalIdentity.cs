using Gongzhi.Core.Audit;
using Gongzhi.Core.Storage;
using Microsoft.EntityFrameworkCore;

namespace Gongzhi.Node.Identity.External;

/// <summary>Who somebody is at a provider: the provider's issuer, and the subject that it never gives to anybody else. Never an e-mail address, which changes hands.</summary>
public sealed record ProviderSubject(string Issuer, string Subject)
{
    /// <summary>As OpenID Connect Core has it (section 2).</summary>
    public const int SubjectLengthMax = 255;

    public const int IssuerLengthMax = 400;

    /// <summary>As a provider is known here: without the slash that some write at its end and some do not.</summary>
    public static ProviderSubject Of(string issuer, string subject) => new(issuer.TrimEnd('/'), subject);

    public bool IsWellFormed => Issuer is { Length: > 0 and <= IssuerLengthMax } && Subject is { Length: > 0 and <= SubjectLengthMax } && !Subject.Any(char.IsControl);
}

/// <summary>The one identity at a provider by which an account signs in, besides or instead of a password. Every change is audited.</summary>
public sealed class ExternalIdentity
{
    /// <summary>The account's id: one identity for each at most.</summary>
    public required string Account { get; init; }

    public required string Issuer { get; set; }

    public required string Subject { get; set; }

    /// <summary>
    /// False while only an administrator says that it is the owner's, and nobody comes in by it. Its owner confirms it by using his link; else a security administrator does, who must name
    /// the subject that the owner told him.
    /// </summary>
    public bool Confirmed { get; set; }

    public ProviderSubject Whom => new(Issuer, Subject);
}

/// <summary>The table of external identities; the database itself keeps one account to one identity and the reverse.</summary>
internal sealed class ExternalIdentityModel : IModelPart
{
    public void Build(ModelBuilder model) => model.Entity<ExternalIdentity>(e =>
    {
        e.ToTable("external_identity").IsAudited().HasKey(i => i.Account);
        e.Property(i => i.Account).HasMaxLength(64);
        e.Property(i => i.Issuer).HasMaxLength(ProviderSubject.IssuerLengthMax);
        e.Property(i => i.Subject).HasMaxLength(ProviderSubject.SubjectLengthMax);
        e.HasIndex(i => new { i.Issuer, i.Subject }).IsUnique();
        e.Ignore(i => i.Whom);
        e.HasOne<Account>().WithOne().HasForeignKey<ExternalIdentity>(i => i.Account).OnDelete(DeleteBehavior.Restrict);
    });
}
