namespace Gongzhi.Ui;

/// <summary>The state of an area, as the frame shows it; the order is the order of severity.</summary>
public enum PostureLevel
{
    /// <summary>平时: no frame.</summary>
    Ordinary,

    /// <summary>关注.</summary>
    Watch,

    /// <summary>Ⅳ级响应, blue.</summary>
    EmergencyIV,

    /// <summary>Ⅲ级响应, yellow.</summary>
    EmergencyIII,

    /// <summary>Ⅱ级响应, orange.</summary>
    EmergencyII,

    /// <summary>Ⅰ级响应, red.</summary>
    EmergencyI,
}

/// <summary>A link of the main navigation.</summary>
/// <param name="Href">A path on this site, such as <c>/data</c>.</param>
/// <param name="Label">In the reader's language.</param>
/// <param name="Exact">Current only on this very path; otherwise also on the paths under it.</param>
public sealed record NavItem(string Href, string Label, bool Exact = false);

/// <summary>
/// What the frame of every page shows. One per request; the host fills it before the page renders (endpoint filter or
/// middleware), pages read it and do not change it.
/// </summary>
public sealed class ShellState
{
    /// <summary>Name beside the mark; null shows the product's own name.</summary>
    public string? ProductName { get; set; }

    /// <summary>Main navigation, in order.</summary>
    public IReadOnlyList<NavItem> Nav { get; set; } = [];

    /// <summary>Who is signed in; null shows the sign-in link.</summary>
    public string? UserName { get; set; }

    /// <summary>State of the area the reader looks at.</summary>
    public PostureLevel Posture { get; set; }

    /// <summary>Where the posture holds, such as a district's name; shown in the band.</summary>
    public string? PostureArea { get; set; }

    /// <summary>Where to read what the posture means for the reader; null leaves the link out.</summary>
    public string? PostureHref { get; set; }

    /// <summary>This world is a drill: every page is watermarked.</summary>
    public bool Drill { get; set; }

    /// <summary>The node takes no changes until its operator has mended it; every page says so.</summary>
    public bool ReadOnly { get; set; }

    /// <summary><c>light</c>, <c>dark</c> (a command wall), or null to follow the device.</summary>
    public string? Theme { get; set; }

    /// <summary>Zone in which moments are written; China Standard Time unless the host says otherwise.</summary>
    public TimeZoneInfo TimeZone { get; set; } = TimeZoneInfo.CreateCustomTimeZone("Asia/Shanghai", TimeSpan.FromHours(8), "CST", "CST");

    /// <summary>Link of the account area when signed in.</summary>
    public string AccountHref { get; set; } = "/me";

    /// <summary>Where signing in starts.</summary>
    public string SignInHref { get; set; } = "/sign-in";

    /// <summary>Where the sign-out form posts; carries an antiforgery token.</summary>
    public string SignOutAction { get; set; } = "/sign-out";

    /// <summary>Where the language is set: <c>?culture=&amp;returnUrl=</c> is added.</summary>
    public string CulturePath { get; set; } = "/culture";

    /// <summary>The catalogue of datasets.</summary>
    public string DataHref { get; set; } = "/data";

    /// <summary>Link to the ledger, for the footer.</summary>
    public string LedgerHref { get; set; } = "/ledger";

    /// <summary>Link to the description of the interface, for the footer.</summary>
    public string ApiHref { get; set; } = "/openapi/v1.json";

    /// <summary>Link to the source code of this very build, for the footer; null leaves it out.</summary>
    public string? SourceHref { get; set; }

    internal string? PostureKey => Posture switch
    {
        PostureLevel.Watch => "watch",
        PostureLevel.EmergencyIV => "iv",
        PostureLevel.EmergencyIII => "iii",
        PostureLevel.EmergencyII => "ii",
        PostureLevel.EmergencyI => "i",
        _ => null,
    };
}
