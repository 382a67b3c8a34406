namespace Gongzhi.Ui.Components;

/// <summary>The icons, all drawn for this product on a 24-unit grid.</summary>
public enum IconName
{
    /// <summary>Magnifying glass.</summary>
    Search,

    /// <summary>A stamp with a tick: proven.</summary>
    Seal,

    /// <summary>Padlock: denied.</summary>
    Lock,

    /// <summary>Triangle: take care.</summary>
    Alert,

    /// <summary>Circle with i.</summary>
    Info,

    /// <summary>Tick.</summary>
    Check,

    /// <summary>Cross.</summary>
    Cross,

    /// <summary>Arrow into a tray.</summary>
    Download,

    /// <summary>Arrow out of a tray.</summary>
    Upload,

    /// <summary>A person.</summary>
    User,

    /// <summary>Clock.</summary>
    Clock,

    /// <summary>Empty tray.</summary>
    Tray,

    /// <summary>Broken link: failed.</summary>
    Broken,

    /// <summary>Turning arrow: loading.</summary>
    Turning,

    /// <summary>Pointing onward.</summary>
    Chevron,

    /// <summary>Sheet of paper.</summary>
    Sheet,

    /// <summary>Key.</summary>
    Key,
}
