using Microsoft.AspNetCore.Components;

namespace Gongzhi.Ui;

/// <summary>Semantic colour of a badge, notice or event; colour never stands alone, words go with it.</summary>
public enum Tone
{
    /// <summary>Plain.</summary>
    Neutral,

    /// <summary>The accent.</summary>
    Accent,

    /// <summary>Done, allowed, open.</summary>
    Good,

    /// <summary>Needs care.</summary>
    Warn,

    /// <summary>Wrong, refused.</summary>
    Bad,
}

/// <summary>How a dataset is shared between units (共享).</summary>
public enum Sharing
{
    /// <summary>不予共享.</summary>
    None,

    /// <summary>有条件共享.</summary>
    Conditional,

    /// <summary>无条件共享.</summary>
    Unconditional,
}

/// <summary>Whether a dataset is open to the public (开放).</summary>
public enum Opening
{
    /// <summary>不予开放.</summary>
    Closed,

    /// <summary>依申请开放.</summary>
    OnRequest,

    /// <summary>无条件开放.</summary>
    Open,
}

/// <summary>Class of data, GB/T 43697.</summary>
public enum DataClass
{
    /// <summary>一般数据.</summary>
    General,

    /// <summary>重要数据.</summary>
    Important,

    /// <summary>核心数据.</summary>
    Core,
}

/// <summary>A step of the path above a page's title; the last has no link.</summary>
public sealed record Crumb(string Label, string? Href = null);

/// <summary>One choice of a select or a set of radio buttons.</summary>
public sealed record Choice(string Value, string Label, string? Hint = null);

/// <summary>What is wrong with a field; <paramref name="Field"/> is the field's name, which is also its id.</summary>
public sealed record FieldError(string Field, string Message);

/// <summary>Links to the pages around this one; null where there is none.</summary>
/// <param name="PreviousHref">The page before.</param>
/// <param name="NextHref">The page after.</param>
/// <param name="From">1-based position of the first row shown, or 0 when unknown (cursor paging).</param>
/// <param name="To">Position of the last row shown.</param>
/// <param name="Total">All rows, or null when not counted.</param>
public sealed record PagerModel(string? PreviousHref, string? NextHref, long From = 0, long To = 0, long? Total = null);

/// <summary>One event of a timeline; the newest first or last as the caller orders them.</summary>
public sealed record TimelineItem(DateTimeOffset At, string Title, string? Text = null, Tone Tone = Tone.Neutral, string? Href = null);

/// <summary>One bar.</summary>
/// <param name="Label">Category.</param>
/// <param name="Value">Not negative; a negative value is drawn as zero and stands in the table as it is.</param>
public sealed record Bar(string Label, decimal Value);

/// <summary>A column of <c>DataTable</c>.</summary>
/// <typeparam name="T">A row.</typeparam>
public sealed class TableColumn<T>
{
    /// <summary>A column of marked-up cells.</summary>
    public TableColumn(string title, Func<T, RenderFragment> cell, bool numeric = false, bool rowHeader = false)
    {
        Title = title;
        Cell = cell;
        Numeric = numeric;
        RowHeader = rowHeader;
    }

    /// <summary>A column of text.</summary>
    public TableColumn(string title, Func<T, string?> text, bool numeric = false, bool rowHeader = false)
        : this(title, row => builder => builder.AddContent(0, text(row)), numeric, rowHeader)
    {
    }

    /// <summary>Heading.</summary>
    public string Title { get; }

    /// <summary>Renders a row's cell.</summary>
    public Func<T, RenderFragment> Cell { get; }

    /// <summary>Aligned right, with tabular figures.</summary>
    public bool Numeric { get; }

    /// <summary>The cell names the row (one column at most).</summary>
    public bool RowHeader { get; }
}

/// <summary>What a seal proves.</summary>
public enum SealSubject
{
    /// <summary>One row.</summary>
    Record,

    /// <summary>What one contribution appended.</summary>
    Batch,

    /// <summary>A decision, such as a grant.</summary>
    Decision,

    /// <summary>A reading under a grant.</summary>
    Access,

    /// <summary>The state of the whole ledger.</summary>
    Checkpoint,
}

/// <summary>What a seal says and links to.</summary>
/// <param name="Subject">What is proven.</param>
/// <param name="Index">Ledger index; null while the ledger has not yet taken the entry in (and for a checkpoint).</param>
/// <param name="Size">Entries in the ledger under the checkpoint the proof leads to; null when unknown.</param>
/// <param name="At">When that checkpoint was signed; null when unknown.</param>
/// <param name="Root">Root of the batch or tree, base64.</param>
/// <param name="Cosigners">Independent witnesses that signed the same checkpoint.</param>
/// <param name="ProofHref">The proof file; null when there is none yet.</param>
/// <param name="KeyHref">The ledger's key, one line.</param>
/// <param name="HowHref">Page that explains how to check.</param>
/// <param name="Command">A command line that checks the downloaded file offline; null shows the usual one for the subject.</param>
public sealed record SealModel(
    SealSubject Subject, long? Index, long? Size = null, DateTimeOffset? At = null, string? Root = null, int Cosigners = 0,
    string? ProofHref = null, string? KeyHref = "/ledger/vkey", string? HowHref = "/ledger#check", string? Command = null)
{
    /// <summary>The ledger has taken it in.</summary>
    public bool Sealed => Index is not null || Subject == SealSubject.Checkpoint;
}
