namespace Gongzhi.Ui.Views;

/// <summary>The latest signed state of the ledger.</summary>
/// <param name="Size">Entries.</param>
/// <param name="Root">Root, base64.</param>
/// <param name="At">When it was signed; null when unknown.</param>
/// <param name="Witnessed">The newest state that witnesses have cosigned; null when none has.</param>
/// <param name="Note">The signed note as published; null leaves it out.</param>
public sealed record CheckpointItem(long Size, string Root, DateTimeOffset? At, WitnessedItem? Witnessed = null, string? Note = null, string Href = "/ledger/checkpoint")
{
    /// <summary>Witnesses that cosigned this very state.</summary>
    public int Cosigners => Witnessed is { } by && by.Size == Size ? by.Names.Count : 0;
}

/// <summary>A state of the ledger that independent witnesses have cosigned, so that nobody is shown another.</summary>
/// <param name="Size">Entries.</param>
/// <param name="At">When it was cosigned.</param>
/// <param name="Names">The witnesses, by the names of their keys.</param>
public sealed record WitnessedItem(long Size, DateTimeOffset At, IReadOnlyList<string> Names, string Href = "/ledger/witnessed");

/// <summary>One thing a visitor may want to do.</summary>
public sealed record HomeTask(Components.IconName Icon, string Title, string Text, string Href, string ActionLabel);

/// <summary>The portal's first page.</summary>
/// <param name="Datasets">Datasets this reader may know of.</param>
/// <param name="Records">Rows in them.</param>
/// <param name="OpenDatasets">Of these, open to the public.</param>
/// <param name="Checkpoint">Latest; null while the ledger is empty.</param>
/// <param name="Tasks">Tasks beside looking up data; null shows "check a file" and "sign in".</param>
/// <param name="SearchAction">Where looking up leads (GET, field <c>q</c>).</param>
public sealed record HomeModel(
    long Datasets, long Records, long OpenDatasets, CheckpointItem? Checkpoint, IReadOnlyList<HomeTask>? Tasks = null,
    string SearchAction = "/data");

/// <summary>An entry of the ledger, as far as the public may know it.</summary>
/// <param name="Kind">Kind in words.</param>
/// <param name="About">What it is about, such as a dataset's name; null for entries known only as a commitment.</param>
public sealed record EntryItem(long Index, string Kind, string? About, DateTimeOffset At, string? ProofHref = null);

/// <summary>What checking a proof file found.</summary>
public enum CheckVerdict
{
    /// <summary>The file is as the ledger says.</summary>
    Genuine,

    /// <summary>The content does not match the proof: it was changed.</summary>
    Altered,

    /// <summary>The proof is of another ledger, or not of any entry.</summary>
    Unknown,

    /// <summary>Not a proof file, or too large.</summary>
    Unreadable,
}

/// <summary>Outcome of a check.</summary>
/// <param name="FileName">As sent; shown as text only.</param>
/// <param name="Detail">One more sentence in the reader's language; null leaves it out.</param>
/// <param name="Seal">For a genuine file: what it proves.</param>
public sealed record CheckResult(CheckVerdict Verdict, string FileName, string? Detail = null, SealModel? Seal = null);

/// <summary>The ledger's page.</summary>
/// <param name="Origin">Name of the log.</param>
/// <param name="VerifierKey">One line; null while there is no key.</param>
/// <param name="Checkpoint">Null while nothing has been sequenced.</param>
/// <param name="Entries">Newest first.</param>
/// <param name="CheckAction">Where the check form posts (multipart, field <c>proof</c>).</param>
/// <param name="CheckMaxBytes">Limit of the file, bytes.</param>
public sealed record LedgerModel(
    string Origin, string? VerifierKey, CheckpointItem? Checkpoint, IReadOnlyList<EntryItem> Entries, PagerModel Pager,
    string CheckAction = "/ledger/check", long CheckMaxBytes = 1 << 20, CheckResult? Result = null, IReadOnlyList<FieldError>? Errors = null,
    string KeyHref = "/ledger/vkey");

/// <summary>A role held in a unit.</summary>
/// <param name="Place">Where it holds.</param>
/// <param name="May">What it may do, each in words.</param>
public sealed record RoleItem(string Role, string Unit, string Place, IReadOnlyList<string> May, DateTimeOffset? Until = null);

/// <summary>A grant the reader may use.</summary>
public sealed record MyGrantItem(string Dataset, string? Href, string Purpose, string HowFine, DateTimeOffset? Until);

/// <summary>"My roles": who I am here and what I may do.</summary>
public sealed record RolesModel(
    string Name, IReadOnlyList<RoleItem> Roles, IReadOnlyList<MyGrantItem> Grants, IReadOnlyList<Choice>? Account = null);

/// <summary>A page in place of the one asked for.</summary>
/// <param name="Status">HTTP status.</param>
/// <param name="Why">One sentence in the reader's language, in place of the general one.</param>
/// <param name="Code">Stable code of the problem.</param>
/// <param name="Reference">Finds it in the operator's log.</param>
/// <param name="RetryAfterSeconds">For 503.</param>
/// <param name="AskHref">For 403: where to ask.</param>
public sealed record ErrorModel(
    int Status, string? Why = null, string? Code = null, string? Reference = null, int? RetryAfterSeconds = null, string? AskHref = null);
