namespace CudaSae.Lab.Insight.Probes;

/// <summary>A question that is asked of every row, with its possible answers.</summary>
/// <param name="Classes">Names of the answers; a label is an index into them.</param>
sealed record Question(string Name, string[] Classes)
{
    /// <summary>Its answers are no (class 0) and yes (class 1), so that only yes is looked for: a latent for the one
    /// is, turned round, a latent for the other.</summary>
    public bool Binary { get; init; }
}

/// <summary>One answer to one question: what a latent may stand for, one against the rest. Karvonen et al. (2024, arXiv
/// 2408.00113) call it a board state property.</summary>
/// <param name="Positives">Rows with that answer.</param>
/// <param name="Labelled">Rows with any answer to the question.</param>
readonly record struct Property(int Question, int Class, long Positives, long Labelled);

/// <summary>Answers of every row: [questions][rows], the class, or −1 where it is unknown.</summary>
sealed class Labels
{
    public const int MaxClasses = 256, MaxQuestions = 4096, MaxProperties = 1 << 16;
    public const short Unlabelled = -1;

    readonly short[][] columns;

    /// <param name="columns">[questions][rows], owned from here on; every label below its question's number of
    /// classes.</param>
    /// <exception cref="SaeException">There are more answers than can be looked for.</exception>
    public Labels(IReadOnlyList<Question> questions, short[][] columns)
    {
        if (questions.Count == 0 || questions.Count != columns.Length)
            throw new ArgumentException($"{columns.Length} columns of labels for {questions.Count} questions");
        var answers = questions.Sum(q => q.Classes.Length);
        if (answers > MaxProperties)
            throw new SaeException($"the labels have {answers} answers to {questions.Count} questions; at most "
                + $"{MaxProperties} are looked for: label fewer questions or merge classes");
        (Questions, this.columns, Rows) = (questions, columns, columns[0].Length);
        Totals = [.. questions.Select((question, q) => Count(columns[q], question.Classes.Length))];
        Properties = [.. questions.SelectMany((question, q) =>
            Enumerable.Range(0, question.Classes.Length).Where(c => c > 0 || !question.Binary)
                .Select(c => new Property(q, c, Totals[q][c], Totals[q].Sum())))];
    }

    public int Rows { get; }
    public IReadOnlyList<Question> Questions { get; }

    /// <summary>Rows of each class, [questions][classes].</summary>
    public IReadOnlyList<long[]> Totals { get; }

    /// <summary>All that is looked for, question by question; of a binary one only yes.</summary>
    public IReadOnlyList<Property> Properties { get; }

    /// <summary>Height and width, where the file gave questions in two axes.</summary>
    public (int Height, int Width)? Grid { get; init; }

    /// <summary>Answers to a question, [rows].</summary>
    public ReadOnlySpan<short> this[int question] => columns[question];

    /// <summary>"question = class", or the question alone where it is binary.</summary>
    public string Name(Property property) =>
        Questions[property.Question] is { Binary: true } question ? question.Name
            : $"{Questions[property.Question].Name} = {Questions[property.Question].Classes[property.Class]}";

    /// <summary>The same with all other rows unlabelled.</summary>
    /// <param name="keep">[rows].</param>
    public Labels Where(ReadOnlySpan<bool> keep)
    {
        var kept = new short[columns.Length][];
        for (var q = 0; q < kept.Length; q++)
        {
            kept[q] = (short[])columns[q].Clone();
            for (var row = 0; row < Rows; row++)
                if (!keep[row]) kept[q][row] = Unlabelled;
        }
        return new(Questions, kept) { Grid = Grid };
    }

    /// <summary>The first rows alone.</summary>
    public Labels Take(int rows) =>
        rows == Rows ? this : new(Questions, [.. columns.Select(c => c[..rows])]) { Grid = Grid };

    /// <summary>The same with other names for the classes of every question that is not binary.</summary>
    /// <exception cref="SaeException">There are too few.</exception>
    public Labels Named(string[] classes)
    {
        if (Questions.FirstOrDefault(q => !q.Binary && q.Classes.Length > classes.Length) is { } question)
            throw new SaeException($"--classes gives {classes.Length} names; question {question.Name} has "
                + $"{question.Classes.Length} classes: name them all");
        return new([.. Questions.Select(q => q.Binary ? q : q with { Classes = classes[..q.Classes.Length] })], columns)
        {
            Grid = Grid
        };
    }

    static long[] Count(short[] column, int classes)
    {
        var totals = new long[classes];
        foreach (var label in column)
            if (label != Unlabelled) totals[label]++;
        return totals;
    }
}
