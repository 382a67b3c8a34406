namespace Gongzhi.Ui.Components;

/// <summary>Why there is nothing to show; each looks and reads differently.</summary>
public enum StateKind
{
    /// <summary>On its way.</summary>
    Loading,

    /// <summary>Asked and answered: there is none.</summary>
    Empty,

    /// <summary>The reader may not.</summary>
    Denied,

    /// <summary>Could not be fetched.</summary>
    Failed,
}
