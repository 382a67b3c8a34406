using System.Text.RegularExpressions;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Territory;
using Microsoft.EntityFrameworkCore;

namespace Gongzhi.Core.Parties;

public enum PartyKind { Person, Firm, Ngo, Media, Official, Device, Client }

/// <summary>An organisation with a place, a level and a parent.</summary>
public sealed class Unit
{
    public required string Id { get; init; }
    public required string NameZh { get; set; }
    public required string NameEn { get; set; }

    /// <summary>Stripped division code of the area it answers for; empty for the node's first unit, which answers for all.</summary>
    public required string Place { get; set; }
    public required int Level { get; set; }
    public string? Parent { get; init; }

    /// <summary><c>government</c>, <c>office</c>, <c>institution</c>, <c>firm</c>, <c>ngo</c>, <c>media</c>.</summary>
    public required string Kind { get; set; }

    /// <summary>Whether a place lies in the area it answers for, by the digits.</summary>
    public bool Covers(PlaceCode place) => Place.Length == 0 || (PlaceCode.TryParse(Place, out var own) && place.IsWithin(own));
}

/// <summary>Whoever acts or is spoken of.</summary>
public sealed class Party
{
    public required string Id { get; init; }
    public required PartyKind Kind { get; init; }
    public required string DisplayName { get; set; }

    /// <summary>
    /// A client that sets up a node from a script (infrastructure as code) and may hold every role. Made only at the node's start, never through an
    /// API, and only of kind <see cref="PartyKind.Client"/>.
    /// </summary>
    public bool Bootstrap { get; init; }

    /// <summary>Acts no more: nobody signs in as it, it holds no role and no grant is for it, until it is enabled again.</summary>
    public bool Disabled { get; set; }

    /// <summary>
    /// Acts no more either, since somebody else made it a new way to sign in; until a security administrator confirms that its owner has it. Else whoever
    /// renews secrets could act as anybody.
    /// </summary>
    public bool Suspended { get; set; }

    /// <summary>How often its way to sign in was made anew other than by its owner's password; each time leaves an audit entry, without the secret.</summary>
    public int Renewals { get; set; }
}

/// <summary>One time that a party's way to sign in was made anew.</summary>
/// <param name="Number">How many there were with it; a secret made for it is good only as long as there are no more.</param>
/// <param name="Suspended">Whether the party acts no more because of it or of an earlier one.</param>
public sealed record Renewal(int Number, bool Suspended);

/// <summary>A role held by a party in a unit, from <see cref="Since"/> until before <see cref="Until"/>.</summary>
public sealed class RoleHolding
{
    public required string Id { get; init; }
    public required string Party { get; init; }
    public required string Role { get; init; }
    public required string Unit { get; init; }
    public required DateTimeOffset Since { get; init; }
    public DateTimeOffset? Until { get; set; }

    public bool At(DateTimeOffset time) => Since <= time && (Until is null || time < Until);
}

/// <summary>三员分立: the three administrators exclude one another and everybody who works with data.</summary>
public static partial class Separation
{
    private static readonly HashSet<string> Administrators = [Roles.SystemAdministrator, Roles.SecurityAdministrator, Roles.AuditAdministrator];
    private static readonly HashSet<string> Work = [Roles.Steward, Roles.Contributor, Roles.Reader, Roles.DutyOfficer];

    /// <summary>The three administrators, in the order in which they come to a new node.</summary>
    public static readonly IReadOnlyList<string> Three = [Roles.SystemAdministrator, Roles.SecurityAdministrator, Roles.AuditAdministrator];

    public static bool Known(string role) => Administrators.Contains(role) || Work.Contains(role);
    public static bool IsAdministrator(string role) => Administrators.Contains(role);
    public static bool IsWork(string role) => Work.Contains(role);

    /// <summary>Whether one party may not hold both at the same time, in any units.</summary>
    public static bool Excludes(string one, string other) => one != other && (Administrators.Contains(one) || Administrators.Contains(other));

    /// <summary>Letters, digits and <c>. _ : @ -</c>, up to 128: what client and subject ids look like.</summary>
    [GeneratedRegex(@"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}\z", RegexOptions.CultureInvariant)]
    internal static partial Regex Id();
}

/// <summary>Maps units, parties and the roles they hold; all audited.</summary>
public sealed class PartiesModel : IModelPart
{
    public void Build(ModelBuilder model)
    {
        model.Entity<Unit>(e =>
        {
            e.ToTable("unit").IsAudited().HasKey(u => u.Id);
            e.HasOne<Unit>().WithMany().HasForeignKey(u => u.Parent).OnDelete(DeleteBehavior.Restrict);
        });
        model.Entity<Party>(e => e.ToTable("party").IsAudited().HasKey(p => p.Id));
        model.Entity<RoleHolding>(e =>
        {
            e.ToTable("role_holding").IsAudited().HasKey(r => r.Id);
            e.HasOne<Party>().WithMany().HasForeignKey(r => r.Party).OnDelete(DeleteBehavior.Restrict);
            e.HasOne<Unit>().WithMany().HasForeignKey(r => r.Unit).OnDelete(DeleteBehavior.Restrict);
        });
    }
}
