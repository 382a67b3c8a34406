namespace Gongzhi.Ui;

/// <summary>How a page stands: it has something to show, or one of three reasons why not.</summary>
public enum ShownState
{
    /// <summary>There is a value; a view shows its own empty state when the value holds nothing.</summary>
    Ready,

    /// <summary>Still being fetched (streaming rendering).</summary>
    Loading,

    /// <summary>The reader may not see it, and may ask.</summary>
    Denied,

    /// <summary>It could not be fetched; nothing was lost.</summary>
    Failed,
}

/// <summary>
/// What a capability hands to a view: a value, or why there is none. A refusal is never shown as an empty list, because
/// an empty list states a fact.
/// </summary>
/// <typeparam name="T">The view's model.</typeparam>
public sealed record Shown<T>
    where T : class
{
    internal Shown(ShownState state, T? value, string? why, string? nextHref, string? reference)
    {
        State = state;
        Value = value;
        Why = why;
        NextHref = nextHref;
        Reference = reference;
    }

    /// <summary>How the page stands.</summary>
    public ShownState State { get; }

    /// <summary>Not null exactly when <see cref="State"/> is <see cref="ShownState.Ready"/>.</summary>
    public T? Value { get; }

    /// <summary>One sentence in the reader's language, in place of the general one.</summary>
    public string? Why { get; }

    /// <summary>Where to ask (denied) or to try again (failed); null leaves the link out.</summary>
    public string? NextHref { get; }

    /// <summary>A reference that finds the failure in the operator's log; never details of it.</summary>
    public string? Reference { get; }

    /// <summary>A value is ready.</summary>
    public static implicit operator Shown<T>(T value) => Shown.Ready(value);
}

/// <summary>Makes <see cref="Shown{T}"/> values.</summary>
public static class Shown
{
    /// <summary>There is a value.</summary>
    public static Shown<T> Ready<T>(T value)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(value);
        return new(ShownState.Ready, value, null, null, null);
    }

    /// <summary>Still being fetched.</summary>
    public static Shown<T> Loading<T>()
        where T : class => new(ShownState.Loading, null, null, null, null);

    /// <summary>The reader may not see it.</summary>
    public static Shown<T> Denied<T>(string? why = null, string? askHref = null)
        where T : class => new(ShownState.Denied, null, why, askHref, null);

    /// <summary>It could not be fetched.</summary>
    public static Shown<T> Failed<T>(string? reference = null, string? retryHref = null, string? why = null)
        where T : class => new(ShownState.Failed, null, why, retryHref, reference);
}
