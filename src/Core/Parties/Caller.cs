namespace Gongzhi.Core.Parties;

/// <summary>Roles of the separated administration (三员分立) and of work. None of the administrator roles reads data.</summary>
public static class Roles
{
    public const string SystemAdministrator = "system-administrator";
    public const string SecurityAdministrator = "security-administrator";
    public const string AuditAdministrator = "audit-administrator";

    /// <summary>Defines datasets of its units and grants reading of them.</summary>
    public const string Steward = "steward";

    /// <summary>Contributes records to the datasets of its units.</summary>
    public const string Contributor = "contributor";

    /// <summary>Queries under grants.</summary>
    public const string Reader = "reader";

    /// <summary>Sets the posture of the areas of its units.</summary>
    public const string DutyOfficer = "duty-officer";
}

/// <summary>Who is asking: a party, with the units it acts for and the roles it holds there. Never a raw token.</summary>
public sealed record Caller
{
    /// <summary>Whoever has not signed in: no party, no unit, no role.</summary>
    public static readonly Caller Nobody = new() { Party = "" };

    /// <summary>The party's id, or the client's for a program acting for itself.</summary>
    public required string Party { get; init; }

    /// <summary>Units in which the party holds a role; the first is where it acts by default.</summary>
    public IReadOnlyList<string> Units { get; init; } = [];
    public IReadOnlySet<string> Roles { get; init; } = new HashSet<string>();

    public bool Has(string role) => Roles.Contains(role);
}
