"""The instruments that compare methods: EditorGrid and EntanglementExplorer."""
